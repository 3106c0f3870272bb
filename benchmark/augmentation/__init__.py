"""Changes of a training image under which its sentences stay true."""

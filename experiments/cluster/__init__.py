"""What `experiments.launch` hands to a cluster: the missing points of the study, each as a job."""

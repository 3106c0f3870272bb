#!/bin/sh
# The environment that the Makefile works in: a venv of Python 3.11 or newer, with pip.
#
#   tools/venv.sh FOLDER [PYTHON]              make it, or make it anew where the one that is there is of no use
#   tools/venv.sh --sound FOLDER [PYTHON]      only say, by the exit status, whether the one that is there is of use
#
# Of no use: its Python is gone, older than 3.11, or another than the one that was named; it has no pip; it was broken off
# while it was made. Without a PYTHON the first that fits is taken of python3.13, 3.12, 3.11 and python3.
set -u
LEAST=11 # of Python 3

# What a Python says of itself: "3 12" if it starts; the exit status is 0 if the module $2 can be imported, too.
ask() {
    "$1" -c "import sys; print(*sys.version_info[:2]); import $2" 2> /dev/null
}

fits() { # "3 12"
    # shellcheck disable=SC2086 # two words are meant
    set -- $1
    [ $# -eq 2 ] && { [ "$1" -gt 3 ] || { [ "$1" -eq 3 ] && [ "$2" -ge "$LEAST" ]; }; }
}

sound() { # FOLDER [PYTHON]
    said=$(ask "$1/bin/python" pip) && fits "$said" && { [ -z "${2-}" ] || [ "$said" = "$(ask "$2" sys)" ]; }
}

if [ "${1-}" = --sound ]; then
    sound "$2" "${3-}"
    exit
fi

folder=$1 named=${2-}
# The Makefile puts the environment's own programs first; what is broken there is not what a new one is made with.
for place in "$PWD/$folder/bin" "$folder/bin" "$(cd "$folder/bin" 2> /dev/null && pwd -P)"; do
    PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF -- "$place" | tr '\n' :)
    PATH=${PATH%:}
done
export PATH

if sound "$folder" "$named"; then
    exit 0
elif sound "$folder"; then
    why="is of Python $(echo "$said" | tr ' ' .), and $named was asked for"
elif [ -e "$folder" ] || [ -L "$folder" ]; then
    said=$(ask "$folder/bin/python" sys)
    if [ -z "$said" ]; then
        why="has no Python that starts"
    elif ! fits "$said"; then
        why="is of Python $(echo "$said" | tr ' ' .), and 3.$LEAST or newer is needed"
    else
        why="has no pip"
    fi
fi

python='' looked_at=''
for candidate in ${named:-python3.13 python3.12 python3.11 python3}; do
    said=$(ask "$candidate" "ensurepip, venv") # Debian has both in a package of their own
    status=$?
    if fits "$said" && [ $status -eq 0 ]; then
        python=$candidate
        break
    fi
    if fits "$said"; then
        found="has no venv (Debian: apt-get install python$(echo "$said" | tr ' ' .)-venv)"
    elif [ -n "$said" ]; then
        found="is $(echo "$said" | tr ' ' .)"
    elif command -v "$candidate" > /dev/null; then
        found="does not start"
    else
        found="is not there"
    fi
    looked_at="$looked_at
  $candidate $found"
done
if [ -z "$python" ]; then
    echo "error: Python 3.$LEAST or newer, with venv, is needed, and none was found:$looked_at" >&2
    echo "Install one (Debian: apt-get install python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi

if [ -n "${why-}" ]; then
    if [ ! -L "$folder" ] && [ ! -f "$folder/pyvenv.cfg" ] && [ -n "$(ls -A "$folder" 2> /dev/null)" ]; then
        echo "error: $folder $why, and is no environment that venv made; move it away" >&2
        exit 1
    fi
    echo "$folder $why: it is made anew"
    rm -rf "$folder" || exit
fi
echo "$folder: of $python"
"$python" -m venv "$folder" && exit
rm -rf "$folder"
echo "error: $python -m venv $folder failed, for the reason above; name another Python: make PYTHON=/path/to/python3.12" >&2
exit 1

#!/bin/sh
# count-words.sh FOLDER: adds to FOLDER/counts how many words the message has.
set -eu
words=$(wc -w)
echo "sh $((words))" >>"$1/counts"

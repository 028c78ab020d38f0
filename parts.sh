#!/bin/sh
# Run the parts of a target one after another: sh parts.sh NAME [TITLE COMMAND]...
# A title says what a part is, and after a colon how long it takes. All titles are shown first,
# then each with its command as it begins, and at the end what each took.

clock() { # seconds as m:ss
    printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

plan() ( # the titles of the pairs, numbered
    number=1
    while [ $# -gt 0 ]; do
        echo "  $number. $1"
        number=$((number + 1))
        shift 2
    done
)

name=$1
shift
trap : INT # Ctrl-C ends the part; this waits until it has saved its work
parts=$(($# / 2)) number=0 all=0 took=
echo "$name has $parts parts; the times are those of two processor cores:"
plan "$@"
while [ $# -gt 0 ]; do
    number=$((number + 1)) part=${1%%:*}
    printf '\n== part %d of %d, %s\n   %s\n' $number $parts "$1" "$2"
    begin=$(date +%s)
    eval "$2"
    status=$?
    seconds=$(($(date +%s) - begin)) all=$((all + seconds))
    if [ $status -ne 0 ]; then
        echo "$name: part $number of $parts, $part, ended with status $status after" \
            "$(clock $seconds); run it again to go on from there" >&2
        exit $status
    fi
    took="$took${took:+, }$part $(clock $seconds)"
    shift 2
done
printf '\n%s took %s: %s\n' "$name" "$(clock $all)" "$took"

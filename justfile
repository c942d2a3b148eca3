# The same verbs as in the Makefile, for those who have `just`.

# Everything that there is to check.
test *ARGS:
    bin/test {{ARGS}}

# Stop every operation at every state-changing system call, and cut the power there.
chaos *ARGS:
    make chaos ARGS="{{ARGS}}"

demo:
    bin/ghost demo

bench:
    make bench

0
a
b
c

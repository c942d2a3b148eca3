    a
        b

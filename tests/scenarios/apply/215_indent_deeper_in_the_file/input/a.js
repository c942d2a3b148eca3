f() {
    if (x) {
        go()

    }
}

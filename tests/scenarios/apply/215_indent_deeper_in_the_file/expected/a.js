f() {
    if (x) {
        stop()

        go()
    }
}

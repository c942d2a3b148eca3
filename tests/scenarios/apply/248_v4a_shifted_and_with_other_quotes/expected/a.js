function f() {
  // it’s
  stop()
}

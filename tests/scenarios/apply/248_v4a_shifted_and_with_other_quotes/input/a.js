function f() {
  // it’s
  go()
}

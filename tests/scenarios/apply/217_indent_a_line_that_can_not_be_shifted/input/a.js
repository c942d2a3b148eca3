if (x)
  go()

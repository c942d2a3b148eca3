one
  two
  2
three 
3

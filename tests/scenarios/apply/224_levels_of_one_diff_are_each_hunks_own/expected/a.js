ONE
  two
  22
three 
33

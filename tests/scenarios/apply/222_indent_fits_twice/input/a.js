  x;
  y;
{
    x;
    y;
}

"""What `ghost doctor` and `ghostd doctor` look at. Nothing here changes anything; a check that can not look says so."""

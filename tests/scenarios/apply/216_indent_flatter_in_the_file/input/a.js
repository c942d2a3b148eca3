if (x)
	go()

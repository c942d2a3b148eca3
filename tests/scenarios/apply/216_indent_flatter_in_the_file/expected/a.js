if (x)
	go()
else
	stop()

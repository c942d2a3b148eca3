	  go()
	  end()

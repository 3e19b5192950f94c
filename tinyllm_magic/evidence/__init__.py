"""What a notebook and its store hold, sorted and summed up: nothing is run, nobody is asked, no word of a report is written."""

"""Values become HTML, text and widgets; knows no session."""

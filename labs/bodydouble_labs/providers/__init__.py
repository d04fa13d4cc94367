"""Host bodies that scenarios run on."""

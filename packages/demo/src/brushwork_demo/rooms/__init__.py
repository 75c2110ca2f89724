"""The rooms of the page, one file each: Paint, Identify, Quiz, Compare and About."""

"""What an answer has to be: reads schemas in all their forms, and checks answers against them."""

"""Jobs looked at from outside: what one will cost, where one stands, what one has given."""

"""What a call costs: dated prices and fees, the peak clock, and who is told of a model without a price."""

from deepseek_async.pricing.prices import AnswerCost, Fee, Meter, Price, PriceTable, Rate, load_prices, price_table

__all__ = ["AnswerCost", "Fee", "Meter", "Price", "PriceTable", "Rate", "load_prices", "price_table"]

"""Call pricing: dated prices and fees, peak hours, and the warning for models without a price."""

from deepseek_async.pricing.prices import AnswerCost, Fee, Meter, Price, PriceTable, Rate, load_prices, price_table

__all__ = ["AnswerCost", "Fee", "Meter", "Price", "PriceTable", "Rate", "load_prices", "price_table"]

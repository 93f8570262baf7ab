"""A chain of LangChain over this library's client. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL.

Needs the extra ``langchain``.
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from deepseek_async.integrations.langchain import ChatDeepSeek

prompt = ChatPromptTemplate.from_messages([("system", "Answer in one sentence."), ("human", "Why visit {town}?")])
chain = prompt | ChatDeepSeek(model="deepseek-flash", max_tokens=2000) | StrOutputParser()

for town, answer in zip(
    towns := ["Oslo", "Lagos", "Quito"], chain.batch([{"town": town} for town in towns]), strict=True
):
    print(f"{town}: {answer}")

"""LangChain integration: ``ChatDeepSeek``, a chat model whose calls go through this library's client.

    from deepseek_async.integrations.langchain import ChatDeepSeek

    model = ChatDeepSeek(model="deepseek-flash")
    print(model.invoke("Hello").content)

It has the name and arguments of the class in ``langchain-deepseek``, so that the import is all that changes.
Requires the extra ``langchain``: ``pip install "deepseek-async[langchain]"``.
"""

from deepseek_async.integrations.requirement import require

require("langchain-core", "langchain", oldest=(1, 4), before=(2,))

from deepseek_async.integrations.langchain.chat_model import ChatDeepSeek  # noqa: E402  its import needs the framework

__all__ = ["ChatDeepSeek"]

"""Eight threads that share one client. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

from concurrent.futures import ThreadPoolExecutor

from deepseek_async import blocking

with blocking.DeepSeek() as client, ThreadPoolExecutor(8) as threads:

    def ask(river: str) -> str:
        question = [{"role": "user", "content": f"How long is the {river}?"}]
        done = client.chat.completions.create(model="deepseek-flash", messages=question)
        return done.choices[0].message.content or ""

    for answer in threads.map(ask, ["Danube", "Loire", "Volga"]):
        print(answer)

// The key stays in this tab: no cookie, so no other site can have a browser use it.
const STORED = "gateway-key";

export const headers = () => {
  const key = sessionStorage.getItem(STORED);
  return key ? { Authorization: `Bearer ${key}` } : {};
};

export const known = () => sessionStorage.getItem(STORED) !== null;

const forget = () => sessionStorage.removeItem(STORED);

const by = (id) => document.getElementById(id);

// Says in the header how things are; kind is "good", "bad" or empty.
export const say = (text, kind = "") => {
  if (by("state").textContent !== text) by("state").textContent = text;
  by("state").className = kind;
};

// Shows the form for a key. It says why only if a key was refused, and never repeats the key.
export const askForKey = () => {
  by("refused").textContent = known() ? "This gateway does not know that key. It may have been revoked." : "";
  forget();
  by("leave").hidden = true;
  by("login").hidden = false;
  say("a key is required");
  by("key").focus();
};

// Calls `entered` after a key was given, and `left` when it is to be forgotten.
export const onKey = (entered, left) => {
  by("leave").hidden = !known();
  by("login").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = by("key").value.trim();
    by("key").value = "";
    if (!/^[\x21-\x7e]+$/.test(key)) {
      // fetch refuses such a header.
      by("refused").textContent = "A key has letters, digits, - and _ only.";
      return;
    }
    sessionStorage.setItem(STORED, key);
    by("login").hidden = true;
    by("leave").hidden = false;
    entered();
  });
  by("leave").addEventListener("click", () => {
    forget();
    left();
    location.reload();
  });
};

export const errorOf = async (response) => {
  try {
    return String((await response.json()).error.message);
  } catch {
    return `${response.status} ${response.statusText}`;
  }
};

// Yields the data of each server-sent event of a response.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.search(/\r?\n\r?\n/)) >= 0) {
      const event = text.slice(0, end);
      text = text.slice(end).replace(/^\r?\n\r?\n/, "");
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield data.join("\n");
    }
  }
}

// Makes an element with texts and elements in it. Texts are never read as HTML.
export const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return made;
};

// A text of somebody else: its marks of direction end with it.
export const foreign = (text) => element("bdi", {}, text);

// A link to a web page; the text as it was written for any other address.
export const link = (label, target, written) => {
  let url;
  try {
    url = new URL(target);
  } catch {
    return foreign(written);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return foreign(written);
  return element("a", { href: url.href, rel: "noopener noreferrer", target: "_blank" }, foreign(label || url.href));
};

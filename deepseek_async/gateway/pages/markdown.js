// Markdown to elements: headings, lists, code, quotes, emphasis, links. Text never becomes HTML, and links are http(s).
import { element } from "/pages/session.js";

const SPAN = /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]*)\]\(([^()\s]+)\)/;

const spans = (text) => {
  const made = [];
  for (;;) {
    const found = SPAN.exec(text);
    if (!found) break;
    if (found.index) made.push(text.slice(0, found.index));
    text = text.slice(found.index + found[0].length);
    if (found[2] !== undefined) made.push(element("code", {}, found[2]));
    else if (found[3] !== undefined) made.push(element("strong", {}, ...spans(found[3])));
    else if (found[4] !== undefined) made.push(element("em", {}, ...spans(found[4])));
    else made.push(link(found[5], found[6], found[0]));
  }
  if (text) made.push(text);
  return made;
};

const link = (label, target, written) => {
  let url;
  try {
    url = new URL(target);
  } catch {
    return written;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return written;
  return element("a", { href: url.href, rel: "noopener noreferrer", target: "_blank" }, label || url.href);
};

export const rendered = (text) => {
  const made = [];
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)/.exec(line);
    const heading = /^(#{1,6})\s+(.*)/.exec(line);
    const item = /^\s*(?:[-*+]|(\d+)[.)])\s+/.exec(line);
    if (fence) {
      const code = [];
      for (at += 1; at < lines.length && !lines[at].trimStart().startsWith(fence[1]); at += 1) code.push(lines[at]);
      at += 1;
      made.push(element("pre", { tabindex: "0" }, element("code", {}, code.join("\n"))));
    } else if (heading) {
      made.push(element("h4", {}, ...spans(heading[2])));
      at += 1;
    } else if (item) {
      const list = element(item[1] === undefined ? "ul" : "ol", item[1] === undefined ? {} : { start: item[1] });
      for (let next; at < lines.length && (next = /^\s*(?:[-*+]|\d+[.)])\s+(.*)/.exec(lines[at])); at += 1) {
        list.append(element("li", {}, ...spans(next[1])));
      }
      made.push(list);
    } else if (/^\s*>/.test(line)) {
      const quoted = [];
      for (; at < lines.length && /^\s*>/.test(lines[at]); at += 1) quoted.push(lines[at].replace(/^\s*> ?/, ""));
      made.push(element("blockquote", {}, ...spans(quoted.join("\n"))));
    } else if (line.trim()) {
      const words = [];
      for (; at < lines.length && lines[at].trim() && !/^\s*(```|~~~|#{1,6}\s|>|[-*+]\s|\d+[.)]\s)/.test(lines[at]); at += 1) words.push(lines[at]);
      if (!words.length) words.push(lines[at++]);
      made.push(element("p", {}, ...spans(words.join("\n"))));
    } else {
      at += 1;
    }
  }
  return made;
};

// Markdown to elements: headings, lists, tables, code, quotes, rules, emphasis, links. Text never becomes HTML.
import { element, link } from "/pages/session.js";

// Bounded, so that an answer of brackets costs no time squared.
const SPAN = /(`{1,9})([^`]|[^`][\s\S]{0,2000}?[^`])\1(?!`)|\*\*([^*]{1,2000})\*\*|\*([^*\s][^*]{0,2000})\*|\[([^\]]{0,500})\]\(([^()\s]{1,2000})\)/;
const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)/;
const RULE = /^\s{0,3}([-*_])(?:\s*\1){2,}\s*$/;
const BORDER = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const BLOCK = /^\s*(?:```|~~~|#{1,6}\s|>|[-*+]\s|\d{1,9}[.)]\s)/;
const DEEPEST = 8;

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

const fits = (lines, at) => at + 1 < lines.length && lines[at].includes("|") && lines[at + 1].includes("|") && BORDER.test(lines[at + 1]);

const fenced = (lines, at, fence) => {
  const code = [];
  for (at += 1; at < lines.length && !lines[at].trimStart().startsWith(fence); at += 1) code.push(lines[at]);
  return [element("pre", { tabindex: "0", role: "group", "aria-label": "Code", dir: "ltr" }, element("code", {}, code.join("\n"))), at + 1];
};

const listed = (lines, at, depth) => {
  const [, indent, first] = ITEM.exec(lines[at]);
  const list = element(first === undefined ? "ul" : "ol", first === undefined ? {} : { start: first });
  for (let item; at < lines.length && (item = ITEM.exec(lines[at])); ) {
    if (item[1].length < indent.length || (item[1].length === indent.length && (item[2] === undefined) !== (first === undefined))) break;
    if (item[1].length > indent.length + 1 && depth < DEEPEST && list.lastChild) {
      const [inner, next] = listed(lines, at, depth + 1);
      list.lastChild.append(inner);
      at = next;
    } else {
      list.append(element("li", { dir: "auto" }, ...spans(item[3])));
      at += 1;
    }
  }
  return [list, at];
};

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

const tabled = (lines, at) => {
  const row = (line, name, attributes) => element("tr", {}, ...cells(line).map((cell) => element(name, attributes, ...spans(cell))));
  const head = element("thead", {}, row(lines[at], "th", { scope: "col" }));
  const body = element("tbody");
  for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) body.append(row(lines[at], "td", {}));
  return [element("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Table" }, element("table", {}, head, body)), at];
};

const quoted = (lines, at) => {
  const words = [];
  for (; at < lines.length && /^\s*>/.test(lines[at]); at += 1) words.push(lines[at].replace(/^\s*> ?/, ""));
  return [element("blockquote", { dir: "auto" }, ...spans(words.join("\n"))), at];
};

const paragraph = (lines, at) => {
  const words = [lines[at]];
  for (at += 1; at < lines.length && lines[at].trim() && !BLOCK.test(lines[at]) && !RULE.test(lines[at]) && !fits(lines, at); at += 1) words.push(lines[at]);
  return [element("p", { dir: "auto" }, ...spans(words.join("\n"))), at];
};

export const rendered = (text) => {
  const made = [];
  const lines = text.split(/\r?\n/);
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)/.exec(line);
    const heading = /^(#{1,6})\s+(.*)/.exec(line);
    let block = null;
    if (fence) [block, at] = fenced(lines, at, fence[1]);
    else if (heading) [block, at] = [element("h4", { dir: "auto" }, ...spans(heading[2])), at + 1];
    else if (RULE.test(line)) [block, at] = [element("hr"), at + 1];
    else if (ITEM.test(line)) [block, at] = listed(lines, at, 1);
    else if (/^\s*>/.test(line)) [block, at] = quoted(lines, at);
    else if (fits(lines, at)) [block, at] = tabled(lines, at);
    else if (line.trim()) [block, at] = paragraph(lines, at);
    else at += 1;
    if (block) made.push(block);
  }
  return made;
};

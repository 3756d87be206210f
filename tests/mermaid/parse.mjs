// Reads Mermaid state diagrams on standard input with Mermaid's own parser, one or several with form feeds between
// them, since it takes seconds to start. Prints what each holds as a line of JSON:
//   {"type", "title", "states": [{"id", "label", "classes"}], "transitions": [{"source", "target", "label"}]}
// Mermaid calls the start and the end `root_start` and `root_end`; they are given as "[*]" in transitions only.

import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><body></body>");
Object.assign(globalThis, { window, document: window.document }); // Mermaid cleans labels with the help of a document
const { default: mermaid } = await import("mermaid");

const decode = (text) => {
  // Mermaid keeps `#58;` as a placeholder while it parses, and puts the character in when it draws.
  const holder = window.document.createElement("textarea");
  holder.innerHTML = text.replaceAll("ﬂ°°", "&#").replaceAll("ﬂ°", "&").replaceAll("¶ß", ";");
  return holder.value;
};

const isEnd = (id) => id.startsWith("root_");
const point = (id) => (isEnd(id) ? "[*]" : id);

mermaid.initialize({ startOnLoad: false });
const parsed = async (text) => {
  const { db, type } = await mermaid.mermaidAPI.getDiagramFromText(text);
  const states = [...db.getStates().values()].filter((state) => !isEnd(state.id));
  return {
    type,
    title: decode(db.getAccTitle()),
    states: states.map(({ id, descriptions, classes }) => ({ id, label: descriptions.map(decode).join("\n"), classes })),
    transitions: db.getRelations().map(({ id1, id2, relationTitle }) => ({
      source: point(id1),
      target: point(id2),
      label: decode(relationTitle ?? ""),
    })),
  };
};

for (const text of readFileSync(0, "utf8").split("\f")) {
  process.stdout.write(JSON.stringify(await parsed(text)) + "\n");
}

/** Elements of the page. Whatever comes from the server or from commands is shown as text. */

export const at = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Sets it only where it differs: screen readers tell each change. */
export function say(id, text, wrong = false) {
  const place = at(id);
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("wrong", wrong);
}

/** Names and what they stand for; those without a text are left out. */
export function describe(list, pairs) {
  const texts = pairs.filter(([, text]) => text !== "");
  const now = JSON.stringify(texts);
  if (list.dataset.now === now) return;
  list.dataset.now = now;
  list.replaceChildren(
    ...texts.flatMap(([name, text]) => [
      element("dt", { textContent: name }),
      element("dd", { textContent: text }),
    ]),
  );
}

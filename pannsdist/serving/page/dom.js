/* Small helpers to build elements. */

/** An element with properties and children (elements, or strings as text). */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A button that does one thing. */
export function button(onClick, properties = {}) {
  const element = make("button", { type: "button", ...properties });
  element.addEventListener("click", onClick);
  return element;
}

/*
 * Language and theme. An element remembers the key of its text, so that a change of language rewrites the whole page
 * without asking the model again.
 */

import { STRINGS } from "./strings.js";

const ATTRIBUTES = { label: "aria-label", valuetext: "aria-valuetext", hint: "placeholder" };

let language = stored("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

/** What the visitor chose before; nothing where the browser forbids storage, which throws SecurityError. */
function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    return null;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch (error) {
    if (!["SecurityError", "QuotaExceededError"].includes(error.name)) throw error;
  }
}

/** The text of a key in the language of the page. A value that is itself `{key}` is a text of the table. */
export function text(key, values = {}) {
  const found = STRINGS[language][key];
  if (found === undefined) throw new Error(`no text '${key}'`);
  return found.replace(/\{(\w+)\}/g, (_, name) => (values[name]?.key ? text(values[name].key) : values[name]));
}

/** Make a text the content of an element. */
export function say(element, key, values = {}) {
  Object.assign(element.dataset, { t: key, tValues: JSON.stringify(values) });
  element.textContent = text(key, values);
  return element;
}

/** Make a text an attribute of an element: `label`, `valuetext` or `hint`. */
export function describe(element, attribute, key, values = {}) {
  Object.assign(element.dataset, { [attribute]: key, [`${attribute}Values`]: JSON.stringify(values) });
  element.setAttribute(ATTRIBUTES[attribute], text(key, values));
  return element;
}

function rewrite() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = text("title");
  for (const element of document.querySelectorAll("[data-t]")) {
    say(element, element.dataset.t, JSON.parse(element.dataset.tValues ?? "{}"));
  }
  for (const attribute of Object.keys(ATTRIBUTES)) {
    for (const element of document.querySelectorAll(`[data-${attribute}]`)) {
      const values = JSON.parse(element.dataset[`${attribute}Values`] ?? "{}");
      describe(element, attribute, element.dataset[attribute], values);
    }
  }
}

/** The two switches of the page; `onTheme()` is called after a change of colours. */
export function startSwitches(languageButton, themeButton, onTheme) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const shown = () => {
    say(themeButton, isDark() ? "theme_light" : "theme_dark");
    onTheme();
  };
  const theme = stored("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  if (!(language in STRINGS)) language = "en";
  rewrite();
  languageButton.lang = language === "zh" ? "en" : "zh-CN";
  languageButton.addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    store("language", language);
    rewrite();
    languageButton.lang = language === "zh" ? "en" : "zh-CN";
  });
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    store("theme", root.dataset.theme);
    shown();
  });
  system.addEventListener("change", shown);
  shown();
}

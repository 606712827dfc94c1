// Elements, numbers and files: what every part of the page needs.

export const of = id => document.getElementById(id);

/** Make an element. Text and children are never read as HTML. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, notation: "compact" });

/** Write a number with six digits at most. */
export function write(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  return value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(3) : plain.format(value);
}

/** Write a number of an axis: a million and more as 1.2M. */
export const writeShort = value => (Math.abs(value) >= 1e6 ? compact.format(value) : write(value));

export const count = number => number.toLocaleString("en");
export const plural = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
export const percent = share => (share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

/** Write a size such as 1.5 MB. */
export function writeBytes(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let place = 0;
  for (; bytes >= 1000 && place < units.length - 1; place++) bytes /= 1000;
  return `${place ? bytes.toPrecision(3) : bytes} ${units[place]}`;
}

/** Write a time stamp as people do: without T, and without seconds that are 0. */
export const writeTime = stamp => String(stamp ?? "").replace(/^(\d{4}-\d\d-\d\d)T/, "$1 ").replace(/^(\S+ \d\d:\d\d):00(?=$|[+-Z])/, "$1");

/** Return the file of an example, whose content is in base64. */
export function decodeFile({ name, type, content }) {
  return new File([Uint8Array.from(atob(content), letter => letter.charCodeAt(0))], name, { type });
}

/** Have the browser save a file. */
export function save(name, type, content) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

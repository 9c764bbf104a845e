// Money arrives as decimal strings and stays exact: BigInt in units of 10^-18 USD, never a float.

const PLACES = 18;
const ONE = 10n ** BigInt(PLACES);
const SHAPE = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,3}))?$/;

/** Units of 10^-18 USD in a decimal string (`"0.0041"`, `"1E-7"`), or null where it is not one. */
export function units(text) {
  if (text === null || text === undefined) return null;
  const match = SHAPE.exec(String(text).trim());
  if (!match || (match[2] === "" && match[3] === "")) return null;
  const shift = PLACES - match[3].length + Number(match[4] ?? 0);
  const digits = BigInt(match[2] + match[3] || "0");
  const size = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
  return match[1] === "-" ? -size : size;
}

/** Sum of the known amounts in units; null where none is known. */
export function sum(texts) {
  const known = texts.map(units).filter((one) => one !== null);
  return known.length ? known.reduce((a, b) => a + b, 0n) : null;
}

/** `amount` split over `count`, half up; null where there is nothing to split. */
export function share(amount, count) {
  if (amount === null || !count) return null;
  const by = BigInt(count);
  return (2n * amount + by) / (2n * by);
}

function group(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Half-even rounding of a non-negative amount to `places` decimals, as text with `,` groups. */
function rounded(amount, places) {
  const step = 10n ** BigInt(PLACES - places);
  let whole = amount / step;
  const rest = (amount % step) * 2n;
  if (rest > step || (rest === step && whole % 2n === 1n)) whole += 1n;
  const digits = whole.toString().padStart(places + 1, "0");
  const cut = digits.length - places;
  return group(digits.slice(0, cut)) + (places ? `.${digits.slice(cut)}` : "");
}

/** Decimals that show `significant` digits, cents at least. */
function decimals(amount, significant) {
  const magnitude = amount.toString().length - PLACES; // 1 for 1…9.99, 0 for 0.1…, -1 for 0.01…
  return Math.min(PLACES, Math.max(2, significant - magnitude));
}

function signed(amount, format) {
  if (amount === null) return "–";
  if (amount === 0n) return "$0";
  return amount < 0n ? `−$${format(-amount)}` : `$${format(amount)}`;
}

/** Four significant digits, trailing zeros beyond the cents dropped: `$0.003812`, `$1.235`. */
export function perCall(amount) {
  return signed(amount, (size) => rounded(size, decimals(size, 4)).replace(/(\.\d\d\d*?)0+$/, "$1"));
}

/** Cents from one dollar up, four decimals below, more where that would show next to nothing. */
export function total(amount) {
  return signed(amount, (size) => {
    if (size >= ONE) return rounded(size, 2);
    return size * 100n >= ONE ? rounded(size, 4) : rounded(size, decimals(size, 4)).replace(/(\.\d{4,}?)0+$/, "$1");
  });
}

/** Every digit: `$0.003812125`. */
export function exact(amount) {
  return signed(amount, (size) => rounded(size, PLACES).replace(/(\.\d\d\d*?)0+$/, "$1"));
}

/** `part` of `whole` as a ratio 0…1, for the width of a bar only. */
export function ratio(part, whole) {
  if (part === null || whole === null || whole <= 0n || part <= 0n) return 0;
  return Number((part * 10000n) / whole) / 10000;
}

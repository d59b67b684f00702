// What a reader could not read of the texts below an element: pale on their ground, tiny, or cut off.
// Run by tests/explorer_panel.py with the selector of the element; answers with a list of complaints.

function parseColour(text) {
  const numbers = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const scale = text.startsWith("color(srgb") ? 255 : 1;
  return { rgb: numbers.slice(0, 3).map((each) => each * scale), alpha: numbers.length > 3 ? numbers[3] : 1 };
}

function blend(over, alpha, under) {
  return over.map((each, place) => alpha * each + (1 - alpha) * under[place]);
}

function listAncestors(element) {
  const found = [];
  for (let each = element; each; each = each.parentElement) found.push(each);
  return found;
}

function findGround(element) {
  return listAncestors(element).reverse().reduce((ground, each) => {
    const colour = parseColour(getComputedStyle(each).backgroundColor);
    return blend(colour.rgb, colour.alpha, ground);
  }, [255, 255, 255]);
}

// The colour below a text in a drawing: that of the last shape drawn before it around its middle; none below a picture.
function findGroundOfDrawing(text) {
  const box = text.getBoundingClientRect();
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const before = [...text.ownerSVGElement.querySelectorAll("rect, path, polygon, ellipse, circle, image")].filter((each) => {
    const place = each.getBoundingClientRect();
    const isAround = place.left <= x && x <= place.right && place.top <= y && y <= place.bottom;
    const isDrawnBefore = each.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
    const isFilled = each.tagName === "image" || getComputedStyle(each).fill !== "none";
    return isAround && isDrawnBefore && isFilled && !each.closest("defs");
  });
  if (before.some((each) => each.tagName === "image")) return null;
  return before.reduce((ground, each) => {
    const style = getComputedStyle(each);
    const colour = parseColour(style.fill);
    return blend(colour.rgb, colour.alpha * Number(style.fillOpacity) * Number(style.opacity), ground);
  }, findGround(text));
}

// Contrast as the Web Content Accessibility Guidelines define it.
function measureLight(rgb) {
  const [red, green, blue] = rgb.map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function measureContrast(element) {
  const style = getComputedStyle(element);
  const ground = element.ownerSVGElement ? findGroundOfDrawing(element) : findGround(element);
  if (ground === null) return 21;
  const ink = parseColour(element.ownerSVGElement ? style.fill : style.color);
  const opacity = listAncestors(element).reduce((all, each) => all * Number(getComputedStyle(each).opacity), 1);
  const lights = [measureLight(blend(ink.rgb, ink.alpha * opacity, ground)), measureLight(ground)];
  return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
}

function isSeen(element) {
  const box = element.getBoundingClientRect();
  return element.checkVisibility({ visibilityProperty: true }) && box.width > 2 && box.height > 2;
}

function isForScreenReaders(element) {
  return listAncestors(element).some((each) => {
    const style = getComputedStyle(each);
    return each.tagName === "MJX-ASSISTIVE-MML" || (style.position === "absolute" && style.clipPath !== "none");
  });
}

function isDisabled(element) {
  return listAncestors(element).some((each) => each.disabled);
}

function isCutOff(element) {
  const hides = ["hidden", "clip"].includes(getComputedStyle(element).overflowX);
  return hides && element.scrollWidth > element.clientWidth + 1;
}

function listTexts(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = new Map();
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const holder = walker.currentNode.parentElement;
    if (text && !["STYLE", "OPTION", "TITLE"].includes(holder.tagName)) found.set(holder, text);
  }
  root.querySelectorAll("input, select").forEach((each) => found.set(each, each.value || each.placeholder));
  root.querySelectorAll("mjx-c").forEach((each) => found.set(each, "a sign of a formula"));
  return [...found].filter(([holder, text]) => text && isSeen(holder) && !isForScreenReaders(holder));
}

function complain([holder, text]) {
  const told = `${JSON.stringify(text.slice(0, 60))} in ${holder.tagName.toLowerCase()}.${holder.className}`;
  const height = parseFloat(getComputedStyle(holder).fontSize);
  const contrast = isDisabled(holder) ? 21 : measureContrast(holder);
  return [
    contrast < 4.5 && `${told}: contrast only ${contrast.toFixed(1)}`,
    height < 8.5 && !holder.ownerSVGElement && `${told}: letters of ${height} pixels`,
    isCutOff(holder) && `${told}: cut off`,
  ].filter(Boolean);
}

const complaints = [...document.querySelectorAll(arguments[0])].flatMap(listTexts).flatMap(complain);
return [...new Set(complaints)];

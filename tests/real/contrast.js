// Every text that is to be seen, with its contrast against what is behind it (WCAG 2.2, relative luminance).
(() => {
  const channels = (colour) => {
    const [red, green, blue, opacity = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [red, green, blue], opacity };
  };
  const luminance = (rgb) =>
    rgb.map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
      .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { rgb, opacity } = channels(getComputedStyle(one).backgroundColor);
      if (opacity > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  const boxed = (element) => element.closest("svg .box") && getComputedStyle(element.closest(".box").querySelector("rect")).fill;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  let looked = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("title, .skip, noscript")) continue;
    looked += 1;
    const style = getComputedStyle(element);
    const inPicture = element.namespaceURI.endsWith("svg");
    const front = luminance(channels(inPicture ? style.fill : style.color).rgb);
    const back = luminance(inPicture && boxed(element) ? channels(boxed(element)).rgb : behind(element));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) faint.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return { looked, faint };
})()

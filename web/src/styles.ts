// xterm.js writes style sheets and style attributes as text, which a page without
// 'unsafe-inline' must not. The same rules may come through the CSSOM: that is what this
// does with them, for elements that are made while a terminal is open.

let done = false;

export function allowTerminalStyles() {
  if (done) return;
  done = true;
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    // An empty style element would already be refused; a template shows nothing either.
    const element = create(name === 'style' ? 'template' : name, options);
    if (name === 'style') {
      const sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
      Object.defineProperty(element, 'textContent', { set: (text: string) => sheet.replaceSync(text), get: () => '' });
      const remove = element.remove.bind(element);
      element.remove = () => {
        document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => s !== sheet);
        remove();
      };
    }
    return element;
  }) as typeof document.createElement;
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name: string, value: string) {
    if (name === 'style' && this instanceof HTMLElement) this.style.cssText = value;
    else set.call(this, name, value);
  };
}

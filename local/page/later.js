// A page whose files are read when it is first opened: the charts are half of all files, the calls need none.

import { read } from "./address.js";
import { Unavailable } from "./api.js";
import { el } from "./dom.js";

export class Later {
  /** `make()` gives the page, as a promise. */
  constructor(app, make) {
    Object.assign(this, { app, make, page: null });
    this.node = el("div", { hidden: true });
  }

  async show(state, back) {
    try {
      this.making ??= this.make();
      const page = await this.making;
      if (!this.page) {
        page.node.hidden = this.node.hidden;
        this.node.replaceWith(page.node);
        Object.assign(this, { page, node: page.node });
      }
    } catch (error) {
      this.making = null;
      if (!(error instanceof TypeError)) throw error; // what a browser throws for a file that does not come
      this.app.failed(new Unavailable("tollspan does not answer. Is `tollspan up` still running?"));
      return;
    }
    if (!this.node.hidden) await this.page.show(read());
    if (back && !this.node.hidden) this.page.changed();
  }

  changed() {
    return this.page?.changed();
  }

  pressed(event) {
    return this.page?.pressed(event) ?? false;
  }
}

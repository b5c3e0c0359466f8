// Browsers allow no worker to a page that is opened as a file. There, the script of a
// worker (that of the search) runs in a hidden frame: so the search needs no server.
if (location.protocol === "file:") {
  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      const load = (source) =>
        new Promise((resolve) => {
          const script = inside.document.createElement("script");
          script.src = source;
          script.onload = resolve;
          inside.document.body.append(script);
        });
      inside.postMessage = (data) =>
        this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...sources) => Promise.all(sources.map(load));
      this.loaded = load(url);
      this.inside = inside;
    }

    postMessage(data) {
      const event = () => new this.inside.MessageEvent("message", { data });
      this.loaded.then(() => this.inside.dispatchEvent(event()));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  }
  window.IFrameWorker = window.Worker = IFrameWorker;
}

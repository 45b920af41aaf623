/* A book kept from level2 messages, whose checksum is computed as docs/stream.md says. */
(function (CB) {
  "use strict";
  const {ticksOf} = CB.format;
  const CHECKED_LEVELS = 10;

  /** The levels of one side: price text to [price ticks, quantity, order count], sorted when asked. */
  class Side {
    constructor(isBid) {
      this.isBid = isBid;
      this.levels = new Map();
      this.sorted = null;
    }

    take(levels) {
      for (const [price, quantity, count] of levels) {
        const known = this.levels.get(price);
        if (quantity === 0) {
          if (known) this.sorted = null;
          this.levels.delete(price);
        } else if (known) {
          known.quantity = quantity;
          known.count = count;
        } else {
          this.levels.set(price, {price, ticks: ticksOf(price), quantity, count});
          this.sorted = null;
        }
      }
    }

    /** Levels, best first. */
    best() {
      if (this.sorted === null) {
        const sign = this.isBid ? -1 : 1;
        this.sorted = [...this.levels.values()].sort((one, other) => sign * (one.ticks - other.ticks));
      }
      return this.sorted;
    }

    clear() {
      this.levels.clear();
      this.sorted = null;
    }
  }

  class Book {
    constructor(symbol) {
      this.symbol = symbol;
      this.bids = new Side(true);
      this.asks = new Side(false);
      this.sequence = null;
      this.verified = null; // the last sequence whose checksum agreed
      this.state = null;
    }

    /** Apply a snapshot or a delta. False where its checksum is another than this book's. */
    take(message) {
      if (message.type === "snapshot") {
        this.bids.clear();
        this.asks.clear();
        this.state = message.state;
      }
      this.bids.take(message.bids);
      this.asks.take(message.asks);
      this.sequence = message.sequence;
      if (message.checksum === undefined) return true;
      if (this.checksum() !== message.checksum) return false;
      this.verified = message.sequence;
      return true;
    }

    checksum() {
      const text = (side) =>
        side.best().slice(0, CHECKED_LEVELS).map((level) => `${level.price}:${level.quantity}`).join(";");
      return CB.crc32(`${text(this.bids)}|${text(this.asks)}`);
    }
  }

  CB.Book = Book;
})(window.Crossbook);

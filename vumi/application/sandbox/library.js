// What modules of Node's time expect to find: events, util, assert and Buffer, as far as packages
// for applications use them. Evaluated inside the script's own context, like context.js, which
// hands it to modules; knows nothing of either. `convert` is what makes bytes of texts and back:
// bytes are then strings with a character for each.
(function (convert) {
    'use strict';

    const { stringify } = JSON;

    // Texts of values

    function show(value) {
        if (typeof value === 'string') { return value; }
        if (value instanceof Error) { return String(value.stack); }
        try {
            const text = stringify(value);
            return text === undefined ? String(value) : text;
        } catch (_error) {
            return String(value);
        }
    }

    // Events

    function EventEmitter() {
        if (!(this instanceof EventEmitter)) { return new EventEmitter(); }
        this._events = this._events || new Map();
        return this;
    }

    function listenersOf(emitter, name) {
        // Also for objects whose constructor was never called.
        if (!Object.prototype.hasOwnProperty.call(emitter, '_events') || !emitter._events) {
            emitter._events = new Map();
        }
        return emitter._events.get(name) || [];
    }

    function listen(emitter, name, listener, first) {
        if (typeof listener !== 'function') {
            throw new TypeError('The "listener" argument must be of type function.');
        }
        const listeners = listenersOf(emitter, name);
        emitter._events.set(name, first ? [listener, ...listeners] : [...listeners, listener]);
        return emitter;
    }

    function onlyOnce(emitter, name, listener) {
        function once(...args) {
            emitter.removeListener(name, once);
            return listener.apply(emitter, args);
        }
        once.listener = listener;
        return once;
    }

    Object.assign(EventEmitter.prototype, {
        on(name, listener) { return listen(this, name, listener, false); },
        addListener(name, listener) { return this.on(name, listener); },
        prependListener(name, listener) { return listen(this, name, listener, true); },
        once(name, listener) {
            return listen(this, name, onlyOnce(this, name, listener), false);
        },
        removeListener(name, listener) {
            const listeners = listenersOf(this, name);
            const index = listeners.findLastIndex
                ? listeners.findLastIndex(one => one === listener || one.listener === listener)
                : listeners.findIndex(one => one === listener || one.listener === listener);
            if (index >= 0) {
                this._events.set(name, listeners.filter((_one, at) => at !== index));
            }
            return this;
        },
        off(name, listener) { return this.removeListener(name, listener); },
        removeAllListeners(name) {
            listenersOf(this, name);
            if (name === undefined) { this._events.clear(); } else { this._events.delete(name); }
            return this;
        },
        listeners(name) { return listenersOf(this, name).map(one => one.listener || one); },
        rawListeners(name) { return listenersOf(this, name).slice(); },
        listenerCount(name) { return listenersOf(this, name).length; },
        eventNames() {
            listenersOf(this, '');
            return [...this._events.keys()].filter(name => this._events.get(name).length);
        },
        setMaxListeners() { return this; },
        getMaxListeners() { return Infinity; },
        emit(name, ...args) {
            const listeners = listenersOf(this, name);
            if (name === 'error' && !listeners.length) {
                throw args[0] instanceof Error ? args[0] : new Error('Unhandled error: ' + args[0]);
            }
            for (const listener of listeners) { listener.apply(this, args); }
            return listeners.length > 0;
        },
    });
    EventEmitter.EventEmitter = EventEmitter;
    EventEmitter.defaultMaxListeners = Infinity;

    // Bytes: as much of Buffer as modules use to turn texts into others.

    function encodingOf(name) {
        const found = name === undefined ? 'utf8' : String(name);
        if (!Buffer.isEncoding(found)) { throw new TypeError('Unknown encoding: ' + found); }
        return found;
    }

    function bytesOf(text, encoding) {
        return Array.from(convert('bytes', encodingOf(encoding), text), one => one.charCodeAt(0));
    }

    class Bytes extends Uint8Array {
        toString(encoding, start, end) {
            const bytes = Array.from(this.subarray(start, end), one => String.fromCharCode(one));
            return convert('text', encodingOf(encoding), bytes.join(''));
        }
        equals(other) {
            return this.length === other.length && this.every((byte, at) => byte === other[at]);
        }
        toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
    }

    // `new Buffer(text)` is what packages of old write.
    function Buffer(value, encoding) {
        return typeof value === 'number' ? new Bytes(value) : Buffer.from(value, encoding);
    }
    Buffer.prototype = Bytes.prototype;
    Buffer.from = (value, encoding) =>
        Bytes.from(typeof value === 'string' ? bytesOf(value, encoding) : value.data || value);
    Buffer.alloc = (size, fill) => new Bytes(size).fill(fill || 0);
    Buffer.isBuffer = value => value instanceof Bytes;
    Buffer.byteLength = (value, encoding) => Buffer.from(value, encoding).length;
    Buffer.concat = list => Bytes.from([].concat(...list.map(part => Array.from(part))));
    Buffer.isEncoding = name => typeof name === 'string' && convert('encoding', name, '') === 'yes';

    // util and assert

    function format(first, ...rest) {
        if (typeof first !== 'string') { return [first, ...rest].map(show).join(' '); }
        const text = first.replace(/%[sdifjoOc%]/g, (found) => {
            if (found === '%%') { return '%'; }
            if (!rest.length) { return found; }
            const value = rest.shift();
            switch (found[1]) {
            case 's': return typeof value === 'object' ? show(value) : String(value);
            case 'd': return String(Number(value));
            case 'i': return String(parseInt(value, 10));
            case 'f': return String(parseFloat(value));
            case 'c': return '';
            default: return show(value);
            }
        });
        return [text, ...rest.map(show)].join(' ');
    }

    function inherits(child, parent) {
        Object.defineProperty(child, 'super_', { value: parent, writable: true, configurable: true });
        Object.setPrototypeOf(child.prototype, parent.prototype);
    }

    const util = {
        format, inherits, inspect: show,
        isArray: Array.isArray,
        isRegExp: value => value instanceof RegExp,
        isDate: value => value instanceof Date,
        isError: value => value instanceof Error,
        deprecate: found => found,
        debuglog: () => () => {},
        isDeepStrictEqual: (one, other) => stringify(one) === stringify(other),
        promisify: called => (...args) => new Promise((resolve, reject) => {
            called(...args, (error, value) => { if (error) { reject(error); } else { resolve(value); } });
        }),
        types: {},
    };

    class AssertionError extends Error {}
    AssertionError.prototype.name = 'AssertionError';

    function assert(value, message) {
        if (!value) { throw message instanceof Error ? message : new AssertionError(message || 'failed'); }
    }
    const same = (one, other) => stringify(one) === stringify(other);
    Object.assign(assert, {
        AssertionError, ok: assert, strict: assert,
        fail: message => assert(false, message),
        // eslint-disable-next-line eqeqeq
        equal: (one, other, message) => assert(one == other, message || format('%j == %j', one, other)),
        notEqual: (one, other, message) => assert(one != other, message),
        strictEqual: (one, other, message) => assert(Object.is(one, other), message),
        notStrictEqual: (one, other, message) => assert(!Object.is(one, other), message),
        deepEqual: (one, other, message) => assert(same(one, other), message),
        deepStrictEqual: (one, other, message) => assert(same(one, other), message),
        throws(called, message) {
            try { called(); } catch (_error) { return; }
            throw new AssertionError(message || 'Missing expected exception.');
        },
    });

    return { EventEmitter, Buffer, util, assert, show, format };
})

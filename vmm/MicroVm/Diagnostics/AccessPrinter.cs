using System.Diagnostics;
using System.Globalization;
using System.Text;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Events;

namespace MicroVm.Diagnostics;

/// <summary>Prints accesses as they happen: <c>--trace</c>. vCPUs only copy them into a ring; a thread of its own puts them into words.</summary>
/// <remarks>A writer slower than the guest loses lines, which are counted and named in the trace: the guest's speed matters more.</remarks>
internal sealed class AccessPrinter : IAccessObserver, IDisposable
{
    private const int RingLength = 8192;
    private const int BatchLength = 256;
    private const string AllCategory = "all";

    private readonly object _lock = new();
    private readonly Item[] _ring = new Item[RingLength];
    private readonly Item[] _batch = new Item[BatchLength];
    private readonly Dictionary<IRegisterBlock, AccessShadow> _shadows = new(ReferenceEqualityComparer.Instance);
    private readonly AddressSpace _ports;
    private readonly AccessFormatter _formatter;
    private readonly TextWriter _output;
    private readonly BlockInfo[] _blocks;
    private readonly bool _allPorts, _allMmio;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly Thread _thread;
    private long _head, _tail;
    private long _dropped;
    private bool _stopping;

    /// <param name="options">What to print and where to.</param>
    /// <param name="ports">The machine's port space.</param>
    /// <param name="formatter">Makes the words.</param>
    /// <param name="owner">Hears if the thread fails.</param>
    /// <exception cref="MicroVmException">A category that there is not.</exception>
    internal AccessPrinter(TraceOptions options, AddressSpace ports, AccessFormatter formatter, IThreadOwner owner)
    {
        (_ports, _formatter, _output) = (ports, formatter, options.Output);
        List<BlockInfo> blocks = [];
        foreach (string category in options.Categories)
        {
            bool all = category == AllCategory;
            _allPorts |= all || category == "pio";
            _allMmio |= all || category == "mmio";
            if (!all && category is not ("pio" or "mmio")) blocks.Add(BlockNamed(category));
        }
        _blocks = [.. blocks];
        _thread = HostThread.Start(Run, "trace", owner);
    }

    /// <inheritdoc/>
    public void OnAccess(AddressSpace space, in AccessTrace.Access access)
    {
        if (!Wanted(space, access.Block)) return;
        lock (_lock)
        {
            if (_head - _tail == RingLength)
            {
                _dropped++;
                return;
            }
            _ring[_head++ % RingLength] = new Item(Stopwatch.GetTimestamp(), access);
            // Only an empty ring is waited for.
            if (_head - _tail == 1) Monitor.Pulse(_lock);
        }
    }

    /// <summary>Prints what is left and ends.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stopping = true;
            Monitor.Pulse(_lock);
        }
        _thread.Join();
    }

    private bool Wanted(AddressSpace space, IRegisterBlock? block)
    {
        if (ReferenceEquals(space, _ports) ? _allPorts : _allMmio) return true;
        if (block is null) return false;
        foreach (BlockInfo wanted in _blocks)
        {
            if (ReferenceEquals(wanted, block.Info)) return true;
        }
        return false;
    }

    // "ioapic" and "io-apic" both mean IoApic.
    private static BlockInfo BlockNamed(string category)
    {
        string word = category.Replace("-", "", StringComparison.Ordinal);
        foreach (BlockInfo block in RegisterCatalog.All)
        {
            if (word.Equals(block.Name, StringComparison.OrdinalIgnoreCase)) return block;
        }
        List<string> known = ["mmio", "pio", AllCategory];
        foreach (BlockInfo block in RegisterCatalog.All) known.Add(AccessFormatter.Kebab(block.Name));
        throw MicroVmException.Usage("no such thing to trace", $"--trace {category}", $"Give one or more of {string.Join(", ", known)}");
    }

    private void Run()
    {
        StringBuilder text = new();
        while (true)
        {
            int count = Take(out long dropped);
            for (int i = 0; i < count; i++) AppendLine(text, _batch[i]);
            if (dropped > 0) text.Append(CultureInfo.InvariantCulture, $"microvm: trace: {dropped} accesses not shown, the reader is too slow\n");
            if (text.Length > 0) Print(text);
            if (count == 0) return;
        }
    }

    // Waits for accesses; there are none when it is over.
    private int Take(out long dropped)
    {
        lock (_lock)
        {
            while (_head == _tail && !_stopping) Monitor.Wait(_lock);
            int count = (int)Math.Min(_head - _tail, BatchLength);
            for (int i = 0; i < count; i++) _batch[i] = _ring[_tail++ % RingLength];
            (dropped, _dropped) = (_dropped, 0);
            return count;
        }
    }

    private void AppendLine(StringBuilder text, in Item item)
    {
        long microseconds = Stopwatch.GetElapsedTime(_start, item.Time).Ticks / TimeSpan.TicksPerMicrosecond;
        text.Append(CultureInfo.InvariantCulture, $"[{microseconds / 1_000_000,5}.{microseconds % 1_000_000:D6}] ");
        _formatter.Append(text, item.Access, RegisterOf(item.Access));
        text.Append('\n');
    }

    private RegisterInfo? RegisterOf(in AccessTrace.Access access)
    {
        if (access.Block is not { } block) return null;
        if (!_shadows.TryGetValue(block, out AccessShadow? shadow)) _shadows.Add(block, shadow = new AccessShadow(block.Info));
        return shadow.Follow(access);
    }

    private void Print(StringBuilder text)
    {
        try
        {
            _output.Write(text.ToString());
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The caller's writer is gone; the guest goes on.
        }
        text.Clear();
    }

    private readonly record struct Item(long Time, AccessTrace.Access Access);
}

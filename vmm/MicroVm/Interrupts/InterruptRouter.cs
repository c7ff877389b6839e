using MicroVm.Kvm;

namespace MicroVm.Interrupts;

/// <summary>Where interrupts go: one message per GSI, and the lines that are connected to it by an irqfd.</summary>
/// <remarks>Changes are collected and handed to KVM by <see cref="Flush"/> in one call, which costs a grace period; a change that changes nothing costs nothing.
/// A masked GSI has its line disconnected: signals stay counted in the line's event, and unmasking delivers them once.
/// Callers hold no lock that a device thread needs; the router's own lock is the last in the lock order.</remarks>
internal sealed class InterruptRouter(KvmVm vm, int gsiCount)
{
    private readonly Lock _lock = new();
    private readonly Route[] _routes = new Route[gsiCount];
    private bool _dirty;

    /// <summary>GSIs in all.</summary>
    internal int GsiCount => _routes.Length;

    /// <summary>Names the line that raises a GSI. It is connected when the GSI is unmasked.</summary>
    internal void Attach(InterruptLine line)
    {
        lock (_lock)
        {
            if (_routes[line.Gsi].Line is not null) throw new InvalidOperationException($"GSI {line.Gsi} has a line already");
            _routes[line.Gsi].Line = line;
        }
    }

    /// <summary>Sets the message of an unmasked GSI, or masks it.</summary>
    internal void Set(uint gsi, MsiMessage message, bool masked)
    {
        lock (_lock)
        {
            ref Route route = ref _routes[gsi];
            if (route.Masked == masked && route.Message == message && route.Known) return;
            // The message of a masked GSI is handed over when it is unmasked.
            _dirty |= !masked;
            (route.Message, route.Masked, route.Known) = (message, masked, true);
        }
    }

    /// <summary>Makes KVM's table and connections equal to what was set.</summary>
    internal void Flush()
    {
        lock (_lock)
        {
            foreach (ref Route route in _routes.AsSpan())
            {
                if (route is { Connected: true, Masked: true }) Disconnect(ref route);
            }
            if (_dirty) SendTable();
            foreach (ref Route route in _routes.AsSpan())
            {
                if (route is { Connected: false, Known: true, Masked: false, Line: not null }) Connect(ref route);
            }
        }
    }

    /// <summary>The message and state of a GSI, for <c>explain</c> and crash reports.</summary>
    internal (MsiMessage Message, bool Masked, bool Connected) Look(uint gsi)
    {
        lock (_lock) return (_routes[gsi].Message, _routes[gsi].Masked || !_routes[gsi].Known, _routes[gsi].Connected);
    }

    private void SendTable()
    {
        Span<KvmAbi.RoutingEntry> table = stackalloc KvmAbi.RoutingEntry[_routes.Length];
        int count = 0;
        for (int gsi = 0; gsi < _routes.Length; gsi++)
        {
            if (!_routes[gsi].Known || _routes[gsi].Masked) continue;
            MsiMessage m = _routes[gsi].Message;
            table[count++] = new KvmAbi.RoutingEntry { Gsi = (uint)gsi, Type = KvmAbi.RoutingMsi, AddressLow = (uint)m.Address, AddressHigh = (uint)(m.Address >> 32), Data = m.Data };
        }
        vm.SetRoutes(table[..count]);
        _dirty = false;
    }

    private void Connect(ref Route route)
    {
        vm.ConnectIrqFd(route.Line!.Event.Fd, route.Line.Gsi);
        route.Connected = true;
    }

    private void Disconnect(ref Route route)
    {
        vm.DisconnectIrqFd(route.Line!.Event.Fd, route.Line.Gsi);
        route.Connected = false;
    }

    private struct Route
    {
        internal InterruptLine? Line;
        internal MsiMessage Message;
        internal bool Known, Masked, Connected;
    }
}

/// <summary>A message signalled interrupt: what is written where.</summary>
/// <param name="Address">Address, in the local APICs' range.</param>
/// <param name="Data">Vector, delivery mode, trigger mode.</param>
internal readonly record struct MsiMessage(ulong Address, uint Data);

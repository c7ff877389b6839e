using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>The control queues (Virtio 1.2, 5.3.6.2): the driver asks for ports, learns their names and who is at the other end, and says when the guest opens one.</summary>
/// <remarks>What it is to be told is a set of flags for each port and not a queue of messages: whatever the driver asks, and however often, nothing grows.
/// Lock order: this one is taken before the lock of a port's input.</remarks>
internal sealed class ConsoleControl(IReadOnlyList<ConsolePort> ports) : IChainHandler, IWaiting, IDisposable
{
    private static readonly int s_maxMessage = Unsafe.SizeOf<VirtioConsoleMessage>() + ConsolePortOptions.MaxName;

    private readonly Lock _lock = new();
    private (ushort Columns, ushort Rows)? _size;

    /// <inheritdoc/>
    public EventFd Arrived { get; } = new();

    /// <inheritdoc/>
    public bool IsEmpty
    {
        get { lock (_lock) return Next() is null; }
    }

    /// <summary>Messages of the driver that meant nothing: too short, of an unknown kind, about a port that is not there.</summary>
    internal long Ignored { get; private set; }

    /// <summary>The terminal of the console has this size. From any thread.</summary>
    internal void Resize(ushort columns, ushort rows)
    {
        lock (_lock)
        {
            _size = (columns, rows);
            Tell(Find(0), ConsoleNews.Size);
        }
    }

    /// <summary>Somebody came to, or left, the host's end of a port. From any thread.</summary>
    internal void SetHostOpen(ConsolePort port, bool open)
    {
        lock (_lock)
        {
            port.HostOpen = open;
            Tell(port, ConsoleNews.Open);
        }
    }

    /// <summary>The driver has gone: it asks for the ports anew.</summary>
    internal void Reset()
    {
        lock (_lock)
        {
            foreach (ConsolePort port in ports)
            {
                (port.Ready, port.News) = (false, ConsoleNews.None);
                port.Input.SetOpen(false);
            }
        }
    }

    /// <inheritdoc/>
    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        VirtioConsoleMessage message = default;
        bool whole = chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioConsoleMessage>(ref message)));
        lock (_lock)
        {
            if (!whole || !Obey(message)) Ignored++;
        }
        return true;
    }

    /// <inheritdoc/>
    public uint MoveTo(ref Segments into)
    {
        Span<byte> text = stackalloc byte[s_maxMessage];
        lock (_lock)
        {
            if (Next() is not { } port) return 0;
            ConsoleNews one = port.News & (ConsoleNews)(-(int)port.News);
            port.News &= ~one;
            return into.Fill(text[..Compose(port, one, text)]);
        }
    }

    public void Dispose() => Arrived.Dispose();

    private bool Obey(in VirtioConsoleMessage message)
    {
        if (message.Event == (ushort)VirtioConsoleEvent.DeviceReady)
        {
            if (message.Value == 1) foreach (ConsolePort each in ports) Say(each, ConsoleNews.Add);
            return true;
        }
        if (Find(message.Port) is not { } port) return false;
        switch ((VirtioConsoleEvent)message.Event)
        {
            case VirtioConsoleEvent.PortReady:
                port.Ready = message.Value == 1;
                Tell(port, (port.Name is null ? ConsoleNews.Console | (_size is null ? 0 : ConsoleNews.Size) : ConsoleNews.Name) | ConsoleNews.Open);
                return true;
            case VirtioConsoleEvent.PortOpen:
                port.Input.SetOpen(message.Value != 0);
                return true;
            default:
                return false;
        }
    }

    private void Tell(ConsolePort? port, ConsoleNews news)
    {
        if (port is { Ready: true }) Say(port, news);
    }

    private void Say(ConsolePort port, ConsoleNews news)
    {
        port.News |= news;
        Arrived.Signal();
    }

    private ConsolePort? Find(uint number)
    {
        foreach (ConsolePort port in ports) if ((uint)port.Number == number) return port;
        return null;
    }

    private ConsolePort? Next()
    {
        foreach (ConsolePort port in ports) if (port.News != ConsoleNews.None) return port;
        return null;
    }

    private int Compose(ConsolePort port, ConsoleNews news, Span<byte> text)
    {
        VirtioConsoleMessage message = new() { Port = (uint)port.Number, Value = 1 };
        int length = Unsafe.SizeOf<VirtioConsoleMessage>();
        switch (news)
        {
            case ConsoleNews.Add: message.Event = (ushort)VirtioConsoleEvent.PortAdd; break;
            case ConsoleNews.Console: message.Event = (ushort)VirtioConsoleEvent.ConsolePort; break;
            case ConsoleNews.Open: (message.Event, message.Value) = ((ushort)VirtioConsoleEvent.PortOpen, (ushort)(port.HostOpen ? 1 : 0)); break;
            case ConsoleNews.Size:
                message.Event = (ushort)VirtioConsoleEvent.Resize;
                VirtioConsoleSize size = new() { Columns = _size!.Value.Columns, Rows = _size.Value.Rows };
                MemoryMarshal.Write(text[length..], size);
                length += Unsafe.SizeOf<VirtioConsoleSize>();
                break;
            case ConsoleNews.Name:
                message.Event = (ushort)VirtioConsoleEvent.PortName;
                length += Encoding.ASCII.GetBytes(port.Name, text[length..]);
                break;
        }
        MemoryMarshal.Write(text, message);
        return length;
    }
}

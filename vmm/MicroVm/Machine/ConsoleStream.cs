using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm;

/// <summary>The caller's end of a serial port or console: reads what the guest wrote, writes what it will read.
/// Asynchronous calls hold no thread and end with their token.</summary>
/// <remarks>What the guest wrote waits in a ring whose oldest bytes give way, so that a reader that does not read costs
/// output and not time; what is in it can be read after the machine has ended
/// and was disposed of. What the guest is to read goes through a pipe, which its device empties.</remarks>
internal sealed class ConsoleStream : Stream
{
    private readonly HostPipe _toGuest = new(nonBlocking: true);
    // One call at a time in each direction, and what each waits for.
    private readonly SemaphoreSlim _reading = new(1), _writing = new(1), _arrived = new(0), _room = new(0);
    private volatile bool _ended, _disposed;

    internal ConsoleStream(string name, IThreadOwner owner) =>
        Output = new OutputQueue(() => Wake(_arrived), name, owner);

    /// <summary>Takes the guest's output.</summary>
    internal OutputQueue Output { get; }

    /// <summary>Descriptor from which the machine reads the guest's input.</summary>
    internal int GuestInput => (int)_toGuest.Reader.DangerousGetHandle();

    private int GuestWriter => (int)_toGuest.Writer.DangerousGetHandle();

    /// <summary>Some of the guest's input was taken. From any thread.</summary>
    internal void InputTaken() => Wake(_room);

    /// <summary>No output comes any more, and no input is taken: the reader sees the end once it has read the
    /// rest.</summary>
    internal void End()
    {
        _ended = true;
        Output.Dispose();
        Wake(_arrived);
        Wake(_room);
    }

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        _reading.Wait();
        try
        {
            int count;
            while (!TryRead(buffer, out count)) _arrived.Wait();
            return count;
        }
        finally
        {
            _reading.Release();
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await _reading.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            int count;
            while (!TryRead(buffer.Span, out count)) await _arrived.WaitAsync(cancellationToken).ConfigureAwait(false);
            return count;
        }
        finally
        {
            _reading.Release();
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        _writing.Wait();
        try
        {
            while (!TryWrite(buffer, out int taken))
            {
                buffer = buffer[taken..];
                _room.Wait();
            }
        }
        finally
        {
            _writing.Release();
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override async ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await _writing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            while (!TryWrite(buffer.Span, out int taken))
            {
                buffer = buffer[taken..];
                await _room.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            _writing.Release();
        }
    }

    public override void Flush() { }
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            _disposed = true;
            Output.Close();
            Wake(_arrived);
            Wake(_room);
        }
        base.Dispose(disposing);
    }

    /// <summary>Closes the pipe of the input; nothing reads or writes it any more.</summary>
    internal void CloseInput()
    {
        // A write that is under way is over first: its descriptor may be another's right after.
        _writing.Wait();
        _toGuest.Dispose();
        _writing.Release();
    }

    // False if there is nothing to read yet.
    private bool TryRead(Span<byte> buffer, out int count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        // Before the look: what came before the end is read before the end.
        bool ended = _ended;
        count = Output.Take(buffer);
        return count > 0 || ended || buffer.IsEmpty;
    }

    // False if there is no room for the rest yet.
    private bool TryWrite(ReadOnlySpan<byte> buffer, out int taken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        taken = 0;
        if (buffer.IsEmpty) return true;
        if (_ended) throw new IOException("the machine has ended and reads nothing");
        taken = HostIo.Write(GuestWriter, buffer);
        if (taken < 0 && taken != -Libc.EAGAIN)
            throw new IOException($"the guest's input cannot be written: {Libc.Describe(-taken)}");
        taken = Math.Max(taken, 0);
        return taken == buffer.Length;
    }

    // Once is enough: whoever is woken looks for all that there is. Twice does no harm.
    private static void Wake(SemaphoreSlim waiting)
    {
        if (waiting.CurrentCount == 0) waiting.Release();
    }
}

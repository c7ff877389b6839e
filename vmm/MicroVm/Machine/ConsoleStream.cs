using System.IO.Pipes;

namespace MicroVm;

/// <summary>The caller's end of a serial port or console: reads what the guest wrote, writes what it will read. Two pipes; a reader that does not read costs output, not time.</summary>
internal sealed class ConsoleStream : Stream
{
    private readonly AnonymousPipeServerStream _fromGuest = new(PipeDirection.In);
    private readonly AnonymousPipeServerStream _toGuest = new(PipeDirection.Out);
    private bool _ended;

    /// <summary>Descriptor from which the machine reads the guest's input.</summary>
    internal int GuestInput => (int)_toGuest.ClientSafePipeHandle.DangerousGetHandle();

    /// <summary>Descriptor to which the machine writes the guest's output.</summary>
    internal int GuestOutput => (int)_fromGuest.ClientSafePipeHandle.DangerousGetHandle();

    /// <summary>No output comes any more: the reader sees the end once it has read the rest.</summary>
    internal void EndOutput()
    {
        if (_ended) return;
        _ended = true;
        _fromGuest.DisposeLocalCopyOfClientHandle();
    }

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => _fromGuest.Read(buffer, offset, count);
    public override int Read(Span<byte> buffer) => _fromGuest.Read(buffer);
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _fromGuest.ReadAsync(buffer, cancellationToken);
    public override void Write(byte[] buffer, int offset, int count) => _toGuest.Write(buffer, offset, count);
    public override void Write(ReadOnlySpan<byte> buffer) => _toGuest.Write(buffer);
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => _toGuest.WriteAsync(buffer, cancellationToken);
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _fromGuest.Dispose();
            _toGuest.Dispose();
        }
        base.Dispose(disposing);
    }
}

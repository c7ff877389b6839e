using MicroVm.Kvm;

namespace MicroVm;

/// <summary>The caller's end of a serial port or console: reads what the guest wrote, writes what it will read. Two pipes; a reader that does not read costs output, not time.</summary>
internal sealed class ConsoleStream : Stream
{
    private readonly HostPipe _fromGuest, _toGuest;
    private readonly FileStream _reader, _writer;

    internal ConsoleStream()
    {
        _fromGuest = new HostPipe();
        _toGuest = new HostPipe();
        _reader = new FileStream(_fromGuest.Reader, FileAccess.Read, bufferSize: 0);
        _writer = new FileStream(_toGuest.Writer, FileAccess.Write, bufferSize: 0);
    }

    /// <summary>Descriptor from which the machine reads the guest's input.</summary>
    internal int GuestInput => (int)_toGuest.Reader.DangerousGetHandle();

    /// <summary>Descriptor to which the machine writes the guest's output.</summary>
    internal int GuestOutput => (int)_fromGuest.Writer.DangerousGetHandle();

    /// <summary>No output comes any more: the reader sees the end once it has read the rest.</summary>
    internal void EndOutput() => _fromGuest.Writer.Dispose();

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => _reader.Read(buffer, offset, count);
    public override int Read(Span<byte> buffer) => _reader.Read(buffer);
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _reader.ReadAsync(buffer, cancellationToken);
    public override void Write(byte[] buffer, int offset, int count) => _writer.Write(buffer, offset, count);
    public override void Write(ReadOnlySpan<byte> buffer) => _writer.Write(buffer);
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => _writer.WriteAsync(buffer, cancellationToken);
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _reader.Dispose();
            _writer.Dispose();
            _fromGuest.Dispose();
            _toGuest.Dispose();
        }
        base.Dispose(disposing);
    }
}

namespace MicroVm.Boot.Unpack;

/// <summary>A part of a kernel file as the stream that decoders want, with what they have taken counted exactly.</summary>
internal sealed class PayloadStream(BootFile file, ulong offset, ulong length) : Stream
{
    private readonly byte[] _buffer = new byte[(int)Math.Min(length, 1 << 16)];
    private int _at;
    private int _filled;
    private ulong _fetched;

    /// <summary>Bytes that were taken so far.</summary>
    internal ulong Taken => _fetched - (ulong)(_filled - _at);

    /// <summary>Bytes that are left.</summary>
    internal ulong Left => length - Taken;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    // Decoders ask where they are, none goes elsewhere.
    public override long Length => (long)length;

    public override long Position { get => (long)Taken; set => throw new NotSupportedException(); }

    public override int ReadByte() => _at < _filled || Fill() ? _buffer[_at++] : -1;

    public override int Read(Span<byte> into)
    {
        if (_at == _filled && !Fill()) return 0;
        int n = Math.Min(into.Length, _filled - _at);
        _buffer.AsSpan(_at, n).CopyTo(into);
        _at += n;
        return n;
    }

    public override int Read(byte[] buffer, int start, int count) => Read(buffer.AsSpan(start, count));

    /// <summary>Takes exactly as many bytes as fit.</summary>
    /// <exception cref="InvalidDataException">There are fewer.</exception>
    internal void Take(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            int n = Read(into);
            if (n == 0) throw new InvalidDataException("the payload ends too early");
            into = into[n..];
        }
    }

    public override void Flush() { }

    public override long Seek(long position, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int start, int count) => throw new NotSupportedException();

    private bool Fill()
    {
        int n = (int)Math.Min((ulong)_buffer.Length, length - _fetched);
        if (n == 0) return false;
        file.Read(offset + _fetched, _buffer.AsSpan(0, n));
        _fetched += (ulong)n;
        (_at, _filled) = (0, n);
        return true;
    }
}
